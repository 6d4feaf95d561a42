/** A reporter that ends the run at the first failure: one is enough to have noticed a mutant. */
// biome-ignore lint/style/noDefaultExport: the test runner takes a reporter in no other form.
export default async function* firstFailure(events: AsyncIterable<{ type: string }>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type === 'test:fail') process.exit(1);
  }
  yield '';
}
