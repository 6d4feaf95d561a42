/** The node agent: runs pods on this machine. What the rest of the cluster, and the server, may use of it. */
export { type NodeAgent, type NodeAgentOptions, startNodeAgent } from './agent.ts';
export { chooseDriver, runtimeClasses } from './drivers/choose.ts';
export { endContainers } from './end-containers.ts';
