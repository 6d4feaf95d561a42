#!/usr/bin/env node
// Runs one function: `main.js [--invoke=auto|http|cloudevent] [FILE]`.
// What is set by variables: see serve.js.
import { loadFunction } from './load.js';
import { createLog } from './log.js';
import { serve } from './serve.js';

const log = createLog(process.env.FUNC_LOG_LEVEL ?? 'info');
try {
  const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
  const [file = './index.js'] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
  const invoke = options.find((option) => option.startsWith('--invoke='))?.slice('--invoke='.length) ?? 'auto';
  const loaded = await loadFunction(file, log);
  await serve(loaded, { invoke, log });
} catch (error) {
  log.fatal(error);
  process.exitCode = 1;
  // Something that the function opened while it was loaded (a timer, a connection) must not keep a dead process alive.
  process.exit();
}
