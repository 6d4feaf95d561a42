/** What fits into a signed integer of 32 bits: counts of the Kubernetes API, and delays of timers. */
export const int32Max = 2 ** 31 - 1;
export const int32Min = -(2 ** 31);
