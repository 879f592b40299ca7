// How far this client has read each channel, so that a reconnect loses and doubles nothing.
// Knows offsets and epochs; knows nothing of sessions or transports. Used by client.ts.

import { PositionTable, SESSION } from './message';

interface Place {
  /** Unknown until the server names it. */
  epoch?: string;
  offset: number;
}

export class Positions {
  private _places = new Map<string, Place>();

  /** Notes a delivery. False: it was seen before. */
  advance(channel: string, offset: number | undefined, epoch: string | undefined): boolean {
    if (offset === undefined) return true;
    const place = this._places.get(channel);
    if (!place) {
      this._places.set(channel, { epoch, offset });
      return true;
    }
    // Only the first of a life bears its epoch; who does not know that has read of another life.
    if ((!epoch || epoch === place.epoch) && offset <= place.offset) return false;
    place.offset = offset;
    if (epoch) place.epoch = epoch;
    return true;
  }

  /**
   * Takes what an answer says of a channel. Deliveries may have overtaken it; and when nothing was
   * missed, those between our place and the answer's are still to come: then ours is kept, and
   * only the epoch learnt. False: something may have been missed since our place.
   */
  settle(channel: string, position: string | undefined, recovered: boolean | undefined): boolean {
    if (!position) return true;
    const colon = position.lastIndexOf(':');
    const epoch = position.slice(0, colon);
    const offset = +position.slice(colon + 1);
    const place = this._places.get(channel);
    // Without an epoch: a delivery overtook the answer that names it.
    const known = place && place.epoch;
    const ours = place && (place.offset >= offset ? !known || known === epoch : recovered && known === epoch);
    this._places.set(channel, { epoch, offset: ours ? place.offset : offset });
    return !place || !!recovered || (!!ours && !known);
  }

  /** A session of its own begins: nobody will tell any more of which life an offset was. */
  begin(): void {
    this._places.forEach((place, channel) => (!place.epoch || channel === SESSION) && this.forget(channel));
  }

  /** Forgets a channel: whoever subscribes to it again starts with what comes then. */
  forget(channel: string): void {
    this._places.delete(channel);
  }

  /** `epoch:offset` of a channel, if both are known. */
  of(channel: string): string | undefined {
    const place = this._places.get(channel);
    return place && place.epoch ? place.epoch + ':' + place.offset : undefined;
  }

  /** All that is known, as messages carry it. */
  table(): PositionTable {
    // Without a prototype, so that a channel may be called __proto__.
    const table: PositionTable = Object.create(null);
    this._places.forEach((_place, channel) => {
      const position = this.of(channel);
      if (position) table[channel] = position;
    });
    return table;
  }
}
