/**
 * Publishes a few records and says where each was stored.
 *
 *     node examples/publish.ts [topic]
 *
 * Broker and authority come from SLUICE_SERVER and SLUICE_CA.
 */
import { connect } from 'sluice';

const topic = process.argv[2] ?? 'greetings';
await using client = await connect();
const producer = client.producer();

// Sends of one turn travel in one batch; each promise resolves when its record is stored.
const results = await Promise.all(
  ['en/Hello', 'de/Hallo', 'fr/Bonjour'].map((text) => {
    const [language, greeting] = text.split('/');
    return producer.send({
      topic,
      key: language,
      value: greeting ?? '',
      headers: { 'content-type': 'text/plain' },
    });
  }),
);
for (const { partition, offset } of results) console.log(`stored in ${topic}/${partition} at ${offset}`);
