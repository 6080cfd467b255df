// Doing often-asked things less often.

/** A function that runs `action` with the next frame, or soon where none is drawn, once for many calls. */
export function soon(action) {
  let frame = null;
  let timer = null;
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    timer = null;
    action();
  };
  return () => {
    if (timer !== null) return;
    frame = requestAnimationFrame(run);
    timer = setTimeout(run, 200);
  };
}

/**
 * A function that runs `action` soon, but not again within `ms`; no call is forgotten. With `spread`, which says over
 * how many ms all who are told the same at once do it, at some moment within them.
 */
export function atMostEvery(ms, action, spread = () => 0) {
  let timer = null;
  let last = 0;
  return () => {
    if (timer !== null) return;
    const run = () => {
      timer = null;
      last = Date.now();
      action();
    };
    timer = setTimeout(run, Math.max(0, last + ms - Date.now()) + Math.random() * spread());
  };
}
