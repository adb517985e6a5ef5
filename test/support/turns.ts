/** Lets `count` turns of the event loop pass, so that everything that was only waiting for its turn has had it. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
