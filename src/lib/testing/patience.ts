/** How long a test waits for what should come to be before it fails. The mutation run, where most fails, asks for less. */
export const patienceMs = Number(process.env.TEST_PATIENCE_MS ?? 10_000);
