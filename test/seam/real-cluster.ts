/** A real one-node Kubernetes, brought up by the scripts in the folder that $REAL_KUBERNETES names. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const scripts = process.env.REAL_KUBERNETES ?? '';

/** Why the suite cannot run here, or undefined. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return `its node runs containers as Linux does, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'its node needs root';
  if (scripts === '') return 'REAL_KUBERNETES does not name the folder of up.sh and down.sh';
  return undefined;
}

export interface RealCluster {
  kubeconfig: string;
  /** Runs kubectl to its end; throws with what it said unless it exits with 0. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Gives an image that the node has another name. */
  nameImage(name: string, other: string): Promise<unknown>;
  /** Has the node pull an image from a registry of this machine, by plain HTTP. */
  pull(name: string): Promise<unknown>;
  down(): void;
}

/** Brings the cluster up, which builds it first where that was not done; resolves when its node is Ready. */
export function bringUp(): RealCluster {
  const wasUp = spawnSync('bash', ['-c', `. ${scripts}/env.sh && alive kubelet`]).status === 0;
  const said = execFileSync(join(scripts, 'up.sh'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const kubeconfig = /KUBECONFIG=(\S+)/.exec(said)?.[1];
  if (kubeconfig === undefined) throw new Error(`up.sh does not say where the kubeconfig is: ${said}`);
  const inCluster = (command: string, input = '') =>
    new Promise<string>((resolve, reject) => {
      const child = execFile('bash', ['-c', `. ${scripts}/env.sh && ${command}`], (error, stdout, stderr) =>
        error ? reject(new Error(`${command}: ${stderr || error.message}`)) : resolve(stdout),
      );
      child.stdin?.end(input);
    });
  return {
    kubeconfig,
    kubectl: (args, input) => inCluster(`kubectl ${args.map((arg) => `'${arg}'`).join(' ')}`, input),
    nameImage: (name, other) => inCluster(`ctr images tag --force ${name} ${other}`),
    pull: (name) => inCluster(`ctr images pull --plain-http ${name}`),
    down() {
      if (!wasUp) execFileSync(join(scripts, 'down.sh'), { stdio: 'inherit' });
    },
  };
}
