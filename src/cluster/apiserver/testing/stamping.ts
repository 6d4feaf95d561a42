import type { Kind } from '../../../api/kind.ts';
import { authenticatedGroup, type UserInfo } from '../../../api/user.ts';
import type { Admission, AdmissionRequest } from '../../../kube/admission.ts';
import { type Widget, WidgetKind } from './open-api.ts';

export const stamper: UserInfo = { name: 'stamper', groups: [authenticatedGroup] };

/**
 * A plugin as careless as a webhook may be: it adds a field that the schema does not know, an item that lacks what it
 * has a default for, and claims to know the uid. What it is shown is kept.
 */
export function stamping(): { plugin: Admission; shown: AdmissionRequest<Widget>[] } {
  const shown: AdmissionRequest<Widget>[] = [];
  const plugin: Admission<Widget> = {
    name: 'stamping',
    kinds: [WidgetKind],
    mutate(request) {
      shown.push({ ...request, object: structuredClone(request.object) });
      const { metadata, spec } = request.object;
      Object.assign(spec, { unknown: 'field' });
      spec.parts = [...(spec.parts ?? []), { name: `stamp-${spec.parts?.length ?? 0}` }];
      Object.assign(metadata, { uid: 'mine', name: 'renamed' });
    },
  };
  return { plugin: plugin as unknown as Admission, shown };
}

/** A plugin that refuses, with what it sees, and changes nothing. */
export const refusing = (why: string): Admission => ({
  name: 'refusing',
  kinds: [WidgetKind as unknown as Kind],
  validate: ({ object }) => [
    {
      field: 'spec.parts',
      reason: 'FieldValueForbidden',
      message: `${why}: ${JSON.stringify((object as Widget).spec.parts)}`,
    },
  ],
});
