// This browser as a device of its user. All its pages are the same one.

import { newId } from './ids.js';

const KEY = 'moim.device';

const device = stored() ?? made();

/** The name under which the server knows this browser. */
export const { installation } = device;

/** The device as `PUT /me/devices/{installation}` takes it. */
export const description = () => ({
  platform: 'web',
  token: device.token,
  locale: navigator.language || null,
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone || null,
});

function made() {
  const device = { installation: newId(), token: `page-${newId()}` };
  try {
    localStorage.setItem(KEY, JSON.stringify(device));
  } catch {
    // The storage is full: the device lives as long as the page.
  }
  return device;
}

function stored() {
  try {
    const device = JSON.parse(localStorage.getItem(KEY));
    return device?.installation && device.token ? device : null;
  } catch {
    return null;
  }
}
