import type { ResourceRequirements } from '../../../../../api/core/container.ts';
import { type Pod, qosClassOf } from '../../../../../api/core/pod.ts';
import type { Container, PodSpec } from '../../../../../api/core/pod-spec.ts';
import { parseQuantity } from '../../../../../api/core/quantity.ts';

/** What a control group promises and allows; nothing for what is not limited. */
export interface Resources {
  cpu: { shares: number; quota?: number; period?: number };
  memory?: { limit: number; swap?: number };
  unified?: Record<string, string>;
}

/** As the kubelet has them: a period of 100 ms, of which no container gets less than 1 ms. */
const period = 100_000;
const quotaMin = 1_000;
const shares = { min: 2, max: 262_144, perCpu: 1024 };

export interface ResourcesOn {
  cgroupVersion: 1 | 2 | undefined;
  hasSwapLimit: boolean;
}

/**
 * Kubernetes' requests and limits as an OCI runtime takes them. A request of 250m is 256 shares, a limit of 250m is
 * 25 ms in each 100 ms; a container whose memory is limited gets no swap beyond that.
 */
export function containerResources(resources: ResourceRequirements | undefined, machine: ResourcesOn): Resources {
  const { requests, limits } = resources ?? {};
  const cpuLimit = milliCpuOf(limits);
  const memoryLimit = memoryOf(limits);
  const result: Resources = { cpu: { shares: sharesOf(milliCpuOf(requests) ?? cpuLimit ?? 0) } };
  if (cpuLimit) Object.assign(result.cpu, quotaOf(cpuLimit));
  if (memoryLimit) {
    result.memory = { limit: memoryLimit, ...(machine.hasSwapLimit ? { swap: memoryLimit } : {}) };
    // All of a container ends when its memory is used up, as the kubelet has it: half of one helps nobody.
    if (machine.cgroupVersion === 2) result.unified = { 'memory.oom.group': '1' };
  }
  return result;
}

/** What all containers of a pod may have together: limited only when each of them is (as the kubelet decides it). */
export function podResources({ spec }: Pod): Resources {
  if (qosClassOf(spec) === 'BestEffort') return { cpu: { shares: shares.min } };
  const ask = (of: (container: Container) => number | undefined) => mostAtOnce(spec, of) ?? 0;
  const cpuRequest = ask((c) => milliCpuOf(c.resources?.requests) ?? milliCpuOf(c.resources?.limits));
  const result: Resources = { cpu: { shares: sharesOf(cpuRequest + (milliCpuOf(spec.overhead) ?? 0)) } };
  const cpuLimit = mostAtOnce(spec, (c) => milliCpuOf(c.resources?.limits));
  if (cpuLimit) Object.assign(result.cpu, quotaOf(cpuLimit + (milliCpuOf(spec.overhead) ?? 0)));
  const limit = mostAtOnce(spec, (c) => memoryOf(c.resources?.limits));
  if (limit) result.memory = { limit: Math.min(limit + (memoryOf(spec.overhead) ?? 0), Number.MAX_SAFE_INTEGER) };
  return result;
}

/**
 * The most that containers running at one time ask for together: all main ones and sidecars, or one init container with
 * the sidecars before it. Undefined when one of them does not say.
 */
function mostAtOnce(spec: PodSpec, of: (container: Container) => number | undefined): number | undefined {
  let sidecars = 0;
  let most = 0;
  for (const container of spec.initContainers ?? []) {
    const asked = of(container);
    if (!asked) return undefined;
    most = Math.max(most, sidecars + asked);
    if (container.restartPolicy === 'Always') sidecars += asked;
  }
  let main = 0;
  for (const container of spec.containers ?? []) {
    const asked = of(container);
    if (!asked) return undefined;
    main += asked;
  }
  return Math.max(most, sidecars + main);
}

/**
 * Who is killed first when the machine runs out of memory, as the kubelet decides it: whoever has no requests before
 * whoever has some, and of these whoever asked for less. Without CAP_SYS_RESOURCE it cannot be less than our own.
 */
export function oomScoreAdjOf(pod: Pod, container: Container, machine: ScoreOn): number {
  const asked = memoryOf(container.resources?.requests) ?? memoryOf(container.resources?.limits) ?? 0;
  const wanted = {
    Guaranteed: () => -997,
    BestEffort: () => 1000,
    Burstable: () => Math.min(999, Math.max(3, 1000 - Math.floor((1000 * asked) / machine.memoryBytes))),
  }[qosClassOf(pod.spec)]();
  return machine.capabilities.includes('CAP_SYS_RESOURCE') && !machine.isRootless
    ? wanted
    : Math.max(wanted, machine.oomScoreAdj);
}

export interface ScoreOn {
  memoryBytes: number;
  oomScoreAdj: number;
  capabilities: readonly string[];
  isRootless: boolean;
}

const milliCpuOf = (list: Readonly<Record<string, string | number>> | undefined): number | undefined =>
  amountOf(list?.cpu, 1000);
const memoryOf = (list: Readonly<Record<string, string | number>> | undefined): number | undefined =>
  amountOf(list?.memory, 1);

/** Rounded up, as Kubernetes rounds quantities; what no number of a runtime's holds is as good as no limit. */
function amountOf(quantity: string | number | undefined, unit: number): number | undefined {
  if (quantity === undefined) return undefined;
  const amount = parseQuantity(quantity);
  if (amount === undefined || !(amount > 0)) return undefined;
  // 0.1 * 1000 is 100.00000000000001 to some quantities: a thousandth of a unit is below all that Kubernetes knows.
  return Math.min(Math.ceil(Number((amount * unit).toFixed(3))), Number.MAX_SAFE_INTEGER);
}

const sharesOf = (milliCpu: number) =>
  Math.min(shares.max, Math.max(shares.min, Math.floor((milliCpu * shares.perCpu) / 1000)));

const quotaOf = (milliCpu: number) => ({ quota: Math.max(quotaMin, Math.floor((milliCpu * period) / 1000)), period });

/** What cgroup v2 has instead of shares: 2 to 262144 become 1 to 10000, as the OCI runtimes convert them. */
export const weightOf = (cpuShares: number) => 1 + Math.floor(((cpuShares - 2) * 9999) / 262142);
