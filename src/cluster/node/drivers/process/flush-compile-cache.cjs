// Runs before the user's program on the first starts of an image (compile-cache.ts): writes Node's compile cache once
// the program has been up for a while, as one that is ended by a signal never does. Leaves NODE_OPTIONS as it was.
'use strict';
const own = process.env.KITTIWAKE_NODE_OPTIONS;
delete process.env.KITTIWAKE_NODE_OPTIONS;
if (own === undefined) delete process.env.NODE_OPTIONS;
else process.env.NODE_OPTIONS = own;
setTimeout(() => require('node:module').flushCompileCache(), 2_000).unref();
