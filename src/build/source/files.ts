import { type SourceTree, TreeBuilder } from './tree.ts';

/** The tree of files that stand in the Build itself. */
export function treeOfFiles(files: Record<string, string>): SourceTree {
  const builder = new TreeBuilder();
  for (const [path, text] of Object.entries(files)) {
    const content = Buffer.from(text, 'utf8');
    builder.reserve(path, content.length);
    builder.addFile(path.replace(/^\.\//, ''), content, text.startsWith('#!'));
  }
  return builder.finish();
}
