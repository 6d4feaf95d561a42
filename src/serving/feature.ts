import { servingKinds } from '../api/platform.ts';
import { systemNamespace } from '../api/serving/names.ts';
import { serviceAccount } from '../api/user.ts';
import type { Feature } from '../feature/feature.ts';
import type { Admission } from '../kube/admission.ts';
import { startAutoscaler } from './autoscaler/index.ts';
import { configAdmission } from './config/admission.ts';
import { servingControllers } from './index.ts';

/** From a Service to pods that come and go with its requests. */
export const serving: Feature = {
  name: 'serving',
  user: serviceAccount(systemNamespace, 'controller'),
  kinds: servingKinds,
  config: { namespace: systemNamespace },
  admission: () => [configAdmission as Admission],
  controllers: ({ registry, settings: { domain, gatewayPort } }) =>
    servingControllers({ registry, domain, gatewayPort }),
  beside: ({ client, cache, clock, log, metrics, settings }) =>
    startAutoscaler({ client, cache, clock, log, metrics, listen: settings.autoscaler }),
};
