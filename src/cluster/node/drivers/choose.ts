import type { DriverKind, DriverOptions } from '../driver.ts';
import { driversByClass } from './by-class.ts';
import { containerDriver } from './container/index.ts';
import { type Lack, missingForContainers } from './container/support.ts';
import { processDriver } from './process/index.ts';
import { missingIsolation } from './process/isolation.ts';

/** The ways in which a node runs pods, whether this machine has them or not: each a RuntimeClass. */
export const runtimeClasses: readonly string[] = ['process', 'container'];

/** Containers need root: it is the user of all that runs beside them, too. */
const besideContainers = [
  'images built here, and pods of the class process, run as root with no isolation at all: deploy only what you trust',
];

const withoutNetwork = {
  what: 'containers need a network of pods, and the platform was started without one',
  remedy: "'kittiwake doctor' says what it lacks",
};

/** The driver of this machine: nothing else knows which there are. `other` is what else hinders containers. */
export function chooseDriver(other?: Lack): DriverKind {
  const lack = missingForContainers() ?? other;
  return {
    lack,
    summary: lack ? 'pods run as processes' : 'pods run in containers, those of images built here as processes',
    missingIsolation: lack ? missingIsolation : besideContainers,
    open: (options: DriverOptions) =>
      driversByClass({
        process: processDriver(options),
        container: lack ?? (options.network ? containerDriver(options) : withoutNetwork),
      }),
  };
}
