import type { Revision } from '../../../api/serving/revision.ts';
import { childName } from '../../child-name.ts';

type Named = Pick<Revision, 'metadata'>;

export const deploymentName = ({ metadata }: Named): string => childName(metadata.name, '-deployment');
/** The core Service in front of a revision's pods, which Ingresses name. */
export const serviceName = ({ metadata }: Named): string => metadata.name;
/** The port of that Service. */
export const servicePort = 80;
export const podAutoscalerName = ({ metadata }: Named): string => metadata.name;
