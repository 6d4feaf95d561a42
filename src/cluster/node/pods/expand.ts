/**
 * Replaces `$(NAME)` by the variable's value; what is not defined stays as it is, `$$(NAME)` gives `$(NAME)`
 * (Kubernetes, "Dependent environment variables").
 */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (found, name: string | undefined) => {
    if (found === '$$') return '$';
    return name !== undefined && Object.hasOwn(variables, name) ? (variables[name] ?? '') : found;
  });
}
