/**
 * Node's http module without what `import 'node:http'` costs: an import reads every export, and that of WebSocket loads
 * a second HTTP stack (12 MB of resident memory in Node 24). Types still come from `node:http`.
 */
export const { Agent, createServer, request } = process.getBuiltinModule('node:http');
