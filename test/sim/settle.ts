/**
 * Lets everything that waits for nothing but its turn have it: Node runs ticks when there are no microtasks left. To be called from a
 * microtask.
 */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
