import { driverContract } from './driver-contract.ts';
import { ToyMachine } from './toy-driver.ts';
import { toyPrograms } from './toy-programs.ts';

driverContract(
  'the toy driver',
  async () => {
    const machines = new Map<string, ToyMachine>();
    const machineOf = (dir: string) => {
      const machine = machines.get(dir) ?? new ToyMachine(toyPrograms);
      machines.set(dir, machine);
      return machine;
    };
    return {
      image: {
        digest: `sha256:${'0'.repeat(64)}`,
        config: { entrypoint: [], cmd: [], env: [], workingDir: '/', user: '', labels: {}, platform: 'toy/toy' },
        layers: [],
        base: [],
      },
      open: (dir) => machineOf(dir).open(),
      commands: {
        prints: (text) => ['print', text],
        complains: (text) => ['complain', text],
        printsVariable: (name) => ['env', name],
        exits: (code) => ['exit', String(code)],
        waits: ['wait'],
        copiesInput: ['cat'],
        echoes: (port) => ['echo', String(port)],
        printsSize: ['size'],
      },
      close: async () => {},
    };
  },
  process.platform !== 'linux' && 'each of its sandboxes has an address of its own in 127.0.0.0/8',
);
