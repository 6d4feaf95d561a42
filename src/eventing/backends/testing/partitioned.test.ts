import { testBackend } from './contract.ts';
import { type PartitionedDisk, partitionedBackend } from './partitioned.ts';

testBackend('a toy of two partitions', (options) => {
  const disk: PartitionedDisk = new Map();
  return {
    backend: partitionedBackend({ disk, ...options }),
    afterCrash: () => partitionedBackend({ disk: structuredClone(disk), ...options }),
    stop() {},
  };
});
