import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import { fieldInvalid } from '../../api/field-error.ts';
import { autoscalerConfigName, parseAutoscalerConfig } from '../../api/serving/autoscaler-config.ts';
import { systemNamespace } from '../../api/serving/names.ts';
import { parseRevisionDefaults } from '../../api/serving/revision-defaults.ts';
import type { Admission } from '../../kube/admission.ts';
import { messageOf } from '../../lib/errors.ts';
import { domainConfigName, parseDomainConfig } from './domain.ts';
import { gcConfigName, parseGcConfig } from './gc.ts';

const parsers: Readonly<Record<string, (data: Record<string, string>) => unknown>> = {
  [autoscalerConfigName]: parseAutoscalerConfig,
  [domainConfigName]: (data) => parseDomainConfig(data, ''),
  [gcConfigName]: parseGcConfig,
  'config-defaults': parseRevisionDefaults,
};

/** Refuses what an operator's ConfigMap cannot mean, as Knative's webhook of that name does. */
export const configAdmission: Admission<ConfigMap> = {
  name: 'config.webhook.serving.knative.dev',
  kinds: [ConfigMapKind],
  validate({ namespace, object: { data = {}, metadata }, operation }) {
    // One that is wrong all the same may go.
    const parse = namespace === systemNamespace && operation !== 'DELETE' ? parsers[metadata.name] : undefined;
    try {
      parse?.(data);
      return [];
    } catch (error) {
      return [fieldInvalid('data', metadata.name, messageOf(error))];
    }
  },
};
