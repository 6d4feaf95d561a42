/** How long a test waits for what should come to be before it fails; less in the mutation run, where most fails. */
export const patienceMs = Number(process.env.TEST_PATIENCE_MS ?? 60_000);
