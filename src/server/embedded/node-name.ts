/** Of the one node that the embedded Kubernetes has. */
export const nodeName = 'local';
