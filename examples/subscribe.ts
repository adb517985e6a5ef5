/**
 * Prints records as they come, until Ctrl-C.
 *
 *     node examples/subscribe.ts [filter]        for instance greetings, greetings/de, 'sensors/+/temp'
 */
import { connect } from 'sluice';

await using client = await connect();
client.on('disconnected', ({ error }) => console.error(`connection lost (${error.code}), trying again`));
client.on('connected', ({ url }) => console.error(`connected to ${url}`));

const subscription = await client.subscribe(process.argv[2] ?? 'greetings', { from: 'earliest' });
subscription.on('gap', ({ topic, partition, from, to }) => {
  console.error(`offsets ${from} to ${to - 1} of ${topic}/${partition} are no longer retained`);
});
process.once('SIGINT', () => void subscription.close());

for await (const record of subscription) {
  console.log(`${record.address} @ ${record.partition}:${record.offset}  ${record.text()}`);
}
