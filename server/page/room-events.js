// What happens in the open room beside its messages.

/**
 * An event of its `type` for each, with `detail` as the server says it; and `ready` each time when all
 * that happens from now on will be told.
 */
export class RoomEvents extends EventTarget {
  constructor({ link, room, signal }) {
    super();
    const end = link.subscribe(`/topic/rooms/${room.id}/events`, {
      receipt: () => this.dispatchEvent(new Event('ready')),
      message: ({ body }) => {
        const detail = JSON.parse(body);
        this.dispatchEvent(new CustomEvent(detail.type, { detail }));
      },
    });
    signal.addEventListener('abort', end);
  }
}
