import {
  type AutoscalerConfig,
  autoscalerConfigName,
  parseAutoscalerConfig,
} from '../../api/serving/autoscaler-config.ts';
import { type ConfigReader, configReader } from './config-map.ts';

/** What scaling goes by: `config-autoscaler` as it was when it was last right. */
export const autoscalerConfigReader = (): ConfigReader<AutoscalerConfig> =>
  configReader(autoscalerConfigName, parseAutoscalerConfig);
