/**
 * The network of a node's pods: each has an address, and reaches and is reached by all others through the host. The
 * container driver's sandboxes are its users; network-of-pods.ts implements it.
 */
export interface PodNetwork {
  /** The host as pods see it. */
  readonly gatewayAddress: string;
  /** What a pod's /etc/resolv.conf names; the cluster's DNS. */
  readonly nameservers: readonly string[];
  /**
   * Gives the network namespace at this path the pod's address, and leads the pod's host ports there. Again for the
   * same pod: as it was, be it in another namespace. When it fails, or `signal` aborts, nothing is left of it. A pod of
   * the host's network (`hostNetwork`) has no need of it. Errors: POD_ADDRESSES_EXHAUSTED, HOST_PORT_TAKEN,
   * NETWORK_COMMAND_FAILED.
   */
  attach(pod: PodToAttach, netnsPath: string, signal: AbortSignal): Promise<PodIps>;
  /** What the pod has is free again, and nothing of it is left; also when it has nothing. */
  detach(podUid: string): Promise<void>;
  /** Keeps what these pods have, and frees all else that is left of the time before. Call it once, first. */
  recover(podUids: ReadonlySet<string>): Promise<void>;
  /** Takes the network itself away, if no pod has part in it any more. */
  close(): Promise<void>;
}

export interface PodIps {
  /** The first is what `status.podIP` says. IPv4; one of IPv6 may join it one day. */
  ips: readonly [string, ...string[]];
}

/** A pod as far as the network is concerned. */
export interface PodToAttach {
  uid: string;
  namespace: string;
  name: string;
  hostPorts: readonly HostPort[];
}

/** A port of the machine that leads to one of the pod. */
export interface HostPort {
  /** One of the machine's addresses; all of them unless given. */
  hostIP?: string | undefined;
  hostPort: number;
  containerPort: number;
  protocol: 'TCP' | 'UDP' | 'SCTP';
}
