import { type CoreEvent, EventKind } from '../../../api/core/event.ts';
import { EventLimit } from '../event-limit.ts';
import type { Strategy } from '../strategy.ts';

export const events: Strategy<CoreEvent> = {
  kind: EventKind,
  selectableFields: {
    'involvedObject.kind': '',
    'involvedObject.namespace': '',
    'involvedObject.name': '',
    'involvedObject.uid': '',
    'involvedObject.apiVersion': '',
    'involvedObject.resourceVersion': '',
    'involvedObject.fieldPath': '',
    reason: '',
    reportingComponent: '',
    'source.component': '',
    type: '',
  },
  upkeep: (machinery, pipeline) => new EventLimit(machinery, pipeline),
};
