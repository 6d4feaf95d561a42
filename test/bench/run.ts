/** `npm run bench -- NAME`: prints a table for people and, as the last line, one JSON object for programs. */
import { readdirSync } from 'node:fs';

interface Bench {
  /** `figures` by the names the issue gives them; `table` starts with its header row. */
  run(): Promise<{ figures: Record<string, number>; table: string[][] }>;
}

const names = readdirSync(new URL('.', import.meta.url))
  .filter((file) => /^[a-z-]+\.ts$/.test(file) && file !== 'run.ts') // `x.origin.ts` and the like are a bench's helpers
  .map((file) => file.slice(0, -3));
const name = process.argv[2];
if (name === undefined || !names.includes(name)) {
  console.error(
    `${name === undefined ? 'which bench?' : `there is no bench "${name}":`} choose from ${names.join(', ')}`,
  );
  process.exit(2);
}

const bench: Bench = await import(`./${name}.ts`);
const { figures, table } = await bench.run();
printTable(table);
console.log(JSON.stringify({ bench: name, figures: roundAll(figures) }));
process.exit(0);

function printTable(rows: string[][]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? [];
  for (const row of rows)
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

function roundAll(figures: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, Math.round(value * 1000) / 1000]));
}
