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

/** A function that runs `action` soon, but not again within `ms`; no call is forgotten. */
export function atMostEvery(ms, action) {
  let timer = null;
  let last = 0;
  return () => {
    const wait = Math.max(0, last + ms - Date.now());
    timer ??= setTimeout(() => {
      timer = null;
      last = Date.now();
      action();
    }, wait);
  };
}
