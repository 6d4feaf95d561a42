/** Folders to be built, as files: what people and attackers put into a project. */
export type Files = Record<string, string>;

const app = 'require("node:http").createServer((q, s) => s.end("ok")).listen(process.env.PORT);';
const nines = (of: string) => `[${Array(9).fill(of).join(',')}]`;
const aliases = ['1', '*a', '*b', '*c', '*d'].map((of, i) => `${'abcde'[i]}: &${'abcde'[i]} ${nines(of)}`).join('\n');
const json = (value: unknown): string => JSON.stringify(value);
const withPackage = (value: unknown, more: Files = {}): Files => ({
  'package.json': json(value),
  'index.js': app,
  ...more,
});

export const sources: Record<string, Files> = {
  'no files': {},
  'a package that is null': withPackage(null),
  'a package that is a list': withPackage([]),
  'a package that is text': withPackage('x'),
  'a package that is half': { 'package.json': '{"name":', 'index.js': app },
  'a package with a byte order mark': { 'package.json': `\ufeff${json({ main: 'index.js' })}`, 'index.js': app },
  'a start of 5': withPackage({ scripts: { start: 5 } }),
  'scripts of text': withPackage({ scripts: 'node' }),
  'a main that is an object': withPackage({ main: {} }),
  'a main of dots': withPackage({ main: '../../../etc/passwd' }),
  'a main that is not there': withPackage({ main: 'nowhere.js' }),
  'engines of 3': withPackage({ main: 'index.js', engines: 3 }),
  'engines of 1985': withPackage({ main: 'index.js', engines: { node: '1985' } }),
  'dependencies of a list': withPackage({ main: 'index.js', dependencies: [] }),
  'workspaces of 7': withPackage({ main: 'index.js', workspaces: 7 }),
  'a package manager of nonsense': withPackage({ main: 'index.js', packageManager: '../../x@1' }),
  'a name of prototypes': withPackage({ name: '__proto__', main: 'index.js' }),
  'a start that is a shell': withPackage({ scripts: { start: 'node index.js; touch /tmp/hostile-start' } }),
  'a lockfile of nonsense': withPackage(
    { main: 'index.js', dependencies: { a: '1' } },
    { 'package-lock.json': '{"lockfileVersion": "x", "packages": 5}' },
  ),
  'a lockfile without its dependency': withPackage(
    { main: 'index.js', dependencies: { a: '1' } },
    { 'package-lock.json': json({ lockfileVersion: 3, packages: {} }) },
  ),
  'a setting that logs elsewhere': withPackage(
    { main: 'index.js' },
    { '.npmrc': 'logs-dir=/tmp/hostile-logs\ncache=/tmp/hostile-cache\n' },
  ),
  'a setting that runs': withPackage(
    { main: 'index.js' },
    { '.npmrc': 'script-shell=/tmp/x\nignore-scripts=false\ngit=/tmp/x\n' },
  ),
  'a func.yaml of nonsense': withPackage({ main: 'index.js' }, { 'func.yaml': 'a: &a [*a]\ninvoke: {}\n' }),
  'a func.yaml of aliases': withPackage(
    { main: 'index.js' },
    {
      'func.yaml': aliases,
    },
  ),
  'a tsconfig of nonsense': {
    'index.ts': 'export const handle = (): string => "ok";',
    'tsconfig.json': '{"extends": "../../../../etc/passwd", "compilerOptions": 5',
  },
  'TypeScript that is none': { 'index.ts': 'export const handle: = <<<<' },
  'a function that is none': { 'index.ts': 'export const handle = 5;' },
  'a program that ends': { 'package.json': json({ main: 'index.js' }), 'index.js': 'process.exit(3)' },
  'a program that throws text': {
    'package.json': json({ main: 'index.js' }),
    'index.js': 'throw "\\u0000\\u001b[31m" + "x".repeat(1e6)',
  },
  'names of prototypes': { ...withPackage({ main: 'index.js' }), constructor: 'x', toString: 'y' },
  'a hundred folders deep': withPackage({ main: 'index.js' }, { [`${'a/'.repeat(100)}x`]: 'x' }),
  'a name of 300 bytes': withPackage({ main: 'index.js' }, { ['n'.repeat(300)]: 'x' }),
  'a name with a line feed': withPackage({ main: 'index.js' }, { 'a\nb': 'x', 'a\tb': 'x', '\u0001': 'x' }),
};
