/** The version of Kubernetes whose API is offered: what clients decide by. */
export const kubernetesVersion = { major: 1, minor: 34, text: 'v1.34.0+kittiwake' } as const;
