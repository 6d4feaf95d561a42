/** What `go test -v` printed, in short: a line for each test, all that a test said which failed, and their sum. */
export function summaryOf(output: string): { text: string; line: string; passed: number; failed: number } {
  const ends = [...output.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+) \(.*\)$/gm)];
  const tests = ends.filter(([, , name = '']) => !name.includes('/'));
  const count = (result: string) => tests.filter(([, each]) => each === result).length;
  const failed = count('FAIL');
  // A suite that ended before its tests did says why at its end.
  const isWhole = tests.length > 0 && /^(PASS|FAIL)$/m.test(output);
  const text = failed > 0 || !isWhole ? output : ends.map(([line]) => line).join('\n');
  const line = `${count('PASS')} passed, ${isWhole ? failed : failed + 1} failed, ${count('SKIP')} skipped`;
  return { text, line, passed: count('PASS'), failed: isWhole ? failed : failed + 1 };
}
