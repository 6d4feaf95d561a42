/** What pods and the node use of the machine, between two looks at them. */
export interface UsageReport {
  /** By the pod's uid; pods of which nothing is known are not there. */
  pods: ReadonlyMap<string, PodUsage>;
  /** Undefined where the system does not say. */
  node: (Usage & { name: string }) | undefined;
}

export interface PodUsage {
  atMs: number;
  /** Processor time is that of so long before `atMs`. */
  windowMs: number;
  containers: readonly (Resources & { name: string })[];
}

export interface Usage extends Resources {
  atMs: number;
  windowMs: number;
}

export interface Resources {
  /** Of one processor, in billionths. */
  cpuNanocores: number;
  memoryBytes: number;
}

/** Where the API server hears of it (`kubectl top`): the node agent. It looks while somebody asks. */
export interface UsageReader {
  read(): Promise<UsageReport>;
}
