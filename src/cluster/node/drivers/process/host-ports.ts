import { createServer } from 'node:net';
import { type Pod, portsAnnotation } from '../../../../api/core/pod.ts';
import type { PodSpec } from '../../../../api/core/pod-spec.ts';
import type { PortMap } from '../../driver.ts';

/**
 * Below the range from which Linux (32768) and macOS (49152) take the ports of outgoing connections: a port found free
 * here stays free until the pod listens.
 */
const firstPort = 20_000;
const lastPort = 32_767;

/** Ports of the host that stand for the pods' own; no two pods get the same one. */
export class HostPorts {
  readonly #taken = new Set<number>();
  readonly #address: string;
  #next = firstPort + Math.floor(Math.random() * (lastPort - firstPort));

  /** Of the host's addresses, `address` is the one at which pods are reached. */
  constructor(address: string) {
    this.#address = address;
  }

  /** The pod's ports: those that it has from before, unless somebody took them while it did not run. */
  async takeFor({ metadata, spec }: Pod): Promise<PortMap> {
    const before = parsePorts(metadata.annotations?.[portsAnnotation] ?? '');
    const isTaken = (port: number) => this.#taken.has(port);
    if (before && !Object.values(before).some(isTaken)) {
      this.hold(before);
      if (await this.#areFree(before)) return before;
      this.release(before);
    }
    return this.#assign(spec);
  }

  /** A host port for each TCP port of the pod's containers; a `hostPort` is taken at its word. */
  async #assign(spec: PodSpec): Promise<PortMap> {
    const ports: Record<number, number> = {};
    for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
      for (const { containerPort, hostPort, protocol = 'TCP' } of container.ports ?? []) {
        if (protocol !== 'TCP' || ports[containerPort] !== undefined) continue;
        ports[containerPort] = hostPort ?? (await this.#free());
      }
    }
    this.hold(ports);
    return ports;
  }

  /** Marks ports as taken. */
  hold(ports: PortMap): void {
    for (const port of Object.values(ports)) this.#taken.add(port);
  }

  release(ports: PortMap): void {
    for (const port of Object.values(ports)) this.#taken.delete(port);
  }

  async #areFree(ports: PortMap): Promise<boolean> {
    const checks = Object.values(ports).map((port) => isPortFree(port, this.#address));
    return (await Promise.all(checks)).every((isFree) => isFree);
  }

  async #free(): Promise<number> {
    for (let tries = 0; tries <= lastPort - firstPort; tries++) {
      const port = this.#next;
      this.#next = port === lastPort ? firstPort : port + 1;
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      if (await isPortFree(port, this.#address)) return port;
      this.#taken.delete(port);
    }
    throw new Error(`no port from ${firstPort} to ${lastPort} of this machine is free: stop some pods`);
  }
}

/** The ports that an annotation says; undefined when it says nothing of the kind (anybody may write it). */
export function parsePorts(text: string): PortMap | undefined {
  const isPort = (value: unknown) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const isMap = Object.entries(value).every(([port, hostPort]) => isPort(Number(port)) && isPort(hostPort));
    return isMap ? (value as PortMap) : undefined;
  } catch {
    return undefined; // Not JSON.
  }
}

/** Whether a program could listen on `port` at `address` and on all addresses. */
async function isPortFree(port: number, address: string): Promise<boolean> {
  const canListen = (host: string) =>
    new Promise<boolean>((resolve, reject) => {
      const server = createServer();
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
        else if (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL')
          resolve(true); // No IPv6 here.
        else reject(error);
      });
      server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
    });
  return (await canListen(address)) && (await canListen('::'));
}
