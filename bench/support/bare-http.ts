/** The least that a fastify server does with a request that has a body: it is read, and answered with 204. Its first line is its port. */
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';

const server = fastify({ logger: false });
server.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) =>
  done(null, body),
);
server.post('/v1/topics/:topic/messages', (_request, reply) => {
  void reply.code(204).send();
});
await server.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
console.log(`ready on ${(server.server.address() as AddressInfo).port}`);
