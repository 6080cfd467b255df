// Times as the reader's own place and language write them.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const timeOf = (ms) => clock.format(ms);
// A date ends at 8.64e15 ms; what is further off is for ever to anybody.
export const dateAndTime = (ms) => (ms > 8.64e15 ? 'further notice' : whole.format(ms));
export const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();
export const sameMinute = (a, b) => Math.floor(a / 60_000) === Math.floor(b / 60_000);

const DAY = 86_400_000;

/** The name of a day for the line between two days. */
export function dayName(ms, now = Date.now()) {
  if (sameDay(ms, now)) return 'Today';
  if (sameDay(ms, now - DAY)) return 'Yesterday';
  return (now - ms < 300 * DAY ? day : dayOfYear).format(ms);
}

/** When somebody was there last, as the end of a sentence. */
export function seenAt(ms, now = Date.now()) {
  if (sameDay(ms, now)) return `today at ${timeOf(ms)}`;
  if (sameDay(ms, now - DAY)) return `yesterday at ${timeOf(ms)}`;
  return `on ${(now - ms < 300 * DAY ? shortDay : dayOfYear).format(ms)}`;
}

/** The shortest that says when: the time today, else the day. */
export const briefly = (ms) => (sameDay(ms, Date.now()) ? timeOf(ms) : shortDay.format(ms));
