import { type SinkBinding, SinkBindingKind } from '../../../api/sources/sink-binding.ts';
import type { Admission, AdmissionRequest } from '../../../kube/admission.ts';
import type { Client } from '../../../kube/client.ts';
import { getIfServed } from '../../../kube/kinds.ts';
import { type Resolver, resolveDestination } from '../../control/destination.ts';
import { injectSink, type PodSpecable, type SinkVariables, variablesOf } from './inject.ts';
import { bindingOf, subjectKinds } from './subject.ts';

export interface SinkBindingAdmissionOptions {
  /** A function, as the API server that calls the admission is also what the client talks to. */
  client: () => Client;
  ingressUrl: string;
}

/** Tells the sink to the subjects of SinkBindings on their way in, so that their first revision knows it already. */
export function sinkBindingAdmission(options: SinkBindingAdmissionOptions): Admission<PodSpecable> {
  return {
    name: 'sink-binding',
    kinds: subjectKinds,
    mutate: (request) => mutate(request, options),
  };
}

async function mutate(
  { operation, kind, object }: AdmissionRequest<PodSpecable>,
  { client: clientOf, ingressUrl }: SinkBindingAdmissionOptions,
): Promise<void> {
  const { namespace } = object.metadata;
  if (operation === 'DELETE' || namespace === undefined || object.metadata.deletionTimestamp !== undefined) return;
  const client = clientOf();
  const { items } = await client.list(SinkBindingKind, { namespace });
  const binding = bindingOf(items, kind, object);
  const look: Resolver['look'] = (reference, key) => getIfServed(client, reference, key);
  const variables = binding && (await variablesOrNone(binding, { look, ingressUrl }));
  if (variables) injectSink(object, variables);
}

/**
 * Nothing while its sink is not resolved. One that cannot be looked up is the binding's own failure: its reconcile says
 * why, tries again, and injects.
 */
async function variablesOrNone(binding: SinkBinding, resolver: Resolver): Promise<SinkVariables | undefined> {
  try {
    const found = await resolveDestination(binding.spec.sink, binding.metadata.namespace ?? '', resolver);
    return found.is === 'resolved' ? variablesOf(binding, found.address) : undefined;
  } catch {
    return undefined; // Told there; here it would refuse an object that is in order.
  }
}
