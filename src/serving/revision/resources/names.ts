import type { Revision } from '../../../api/serving/revision.ts';
import { childName } from '../../child-name.ts';

type Named = Pick<Revision, 'metadata'>;

export const deploymentName = ({ metadata }: Named): string => childName(metadata.name, '-deployment');
/** The core Service in front of a revision's pods, which the gateway reads addresses from. */
export const privateServiceName = ({ metadata }: Named): string => childName(metadata.name, '-private');
export const podAutoscalerName = ({ metadata }: Named): string => metadata.name;
