import type { Survivor } from './survivor.ts';

/** The parser, the breaker and the store; by file. */
export const gatewayAndStore: readonly Survivor[] = [
  {
    file: 'src/cluster/apiserver/patch/strategic-merge.ts',
    before: "return typeof additionalProperties === 'object' ? additionalProperties : undefined;",
    after: 'return true ? additionalProperties : undefined;',
    why: 'Else it is `true`, which tells of no field and no strategy, as no schema does; the types want the check.',
  },
];
