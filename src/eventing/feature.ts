import { eventingKinds } from '../api/platform.ts';
import { serviceAccount } from '../api/user.ts';
import type { Feature } from '../feature/feature.ts';
import { eventingAdmission, eventingControllers } from './index.ts';

/** Brokers, Triggers and sources; the broker's data path is a process of its own. */
export const eventing: Feature = {
  name: 'eventing',
  user: serviceAccount('knative-eventing', 'eventing-controller'),
  kinds: eventingKinds,
  config: { namespace: 'knative-eventing' },
  admission: ({ client, settings }) => eventingAdmission({ client, ingressUrl: settings.brokerUrl }),
  controllers: ({ settings: { brokerUrl, gatewayUrl } }) => eventingControllers({ ingressUrl: brokerUrl, gatewayUrl }),
};
