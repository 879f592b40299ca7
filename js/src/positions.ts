// How far this client has read each channel, so that a reconnect loses and doubles nothing.
// Knows offsets and epochs; knows nothing of sessions or transports. Used by client.ts.

import { PositionTable, SESSION } from './message';

interface Place {
  /** Unknown until the server names it. */
  epoch?: string;
  offset: number;
  /** Where the page wants to begin, in the server's own count, until the epoch is known. */
  moment?: string;
  /** The offset is of a session that ended: it holds only if nothing was lost. */
  old?: boolean;
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
    if (colon < 0) {
      // Not of this channel: LIFE-SEQUENCE, from which a channel may begin that nobody knew.
      this._places.set(channel, { offset: 0, moment: position });
      return true;
    }
    const epoch = position.slice(0, colon);
    const offset = +position.slice(colon + 1);
    const place = this._places.get(channel);
    // Without an epoch: a delivery overtook the answer that names it.
    const known = place && place.epoch;
    const lost = place && place.old && !recovered;
    const ours = place && !lost && (place.offset >= offset ? !known || known === epoch : recovered && known === epoch);
    this._places.set(channel, { epoch, offset: ours ? place.offset : offset });
    return !place || !!recovered || (!!ours && !known);
  }

  /** A session of its own begins: nobody will tell any more of which life an offset was. */
  begin(): void {
    this._places.forEach((place, channel) => {
      if (place.moment && !place.epoch) place.old = true;
      else if (!place.epoch || channel === SESSION) this.forget(channel);
    });
  }

  /** Forgets a channel: whoever subscribes to it again starts with what comes then. */
  forget(channel: string): void {
    this._places.delete(channel);
  }

  /** `epoch:offset` of a channel, if both are known; or else the moment from which it is wanted. */
  of(channel: string): string | undefined {
    const place = this._places.get(channel);
    return place && (place.epoch ? place.epoch + ':' + place.offset : place.moment);
  }

  /** All that is known, as messages carry it. A poll names no moments: they acknowledge nothing. */
  table(moments: boolean): PositionTable {
    // Without a prototype, so that a channel may be called __proto__.
    const table: PositionTable = Object.create(null);
    this._places.forEach((place, channel) => {
      const position = (moments || place.epoch) && this.of(channel);
      if (position) table[channel] = position;
    });
    return table;
  }
}
