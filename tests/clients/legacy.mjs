// Calls a tool of an MCP server with the official TypeScript client of the legacy era, and prints what came as JSON.
//   node legacy.mjs URL KEY TOOL < ARGUMENTS.json
import { readFileSync } from 'node:fs';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url, key, tool] = process.argv.slice(2);
const calls = JSON.parse(readFileSync(0, 'utf8'));
const client = new Client({ name: 'offloop-tests', version: '1' });
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${key}` } },
});
await client.connect(transport);
const { tools } = await client.listTools(); // from here on, the client checks structured answers against the schemas
const answers = [];
for (const args of calls) {
  const progress = [];
  const result = await client.callTool({ name: tool, arguments: args }, undefined, {
    onprogress: (message) => progress.push(message.progress),
  });
  answers.push({ result, progress });
}
await client.close();
console.log(JSON.stringify({ protocol: transport.protocolVersion, tools: tools.map((one) => one.name), answers }));
