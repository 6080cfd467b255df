// Logged in or not: one of two pages.

import { app } from './app.js';
import { Session } from './session.js';
import { signIn } from './sign-in.js';

const place = document.getElementById('page');
const session = new Session();
let shown = new AbortController();
let lastUser = session.user;

function show(notice = '') {
  shown.abort();
  shown = new AbortController();
  place.replaceChildren(session.user ? app(session, shown.signal) : signIn(session, { notice, user: lastUser }));
  lastUser = session.user ?? lastUser;
}

session.addEventListener('begin', () => show());
session.addEventListener('end', ({ detail }) => show(detail));

// A phone's keyboard that covers the page instead of making it smaller (iOS).
visualViewport?.addEventListener('resize', () => {
  document.documentElement.style.setProperty('--height', `${visualViewport.height * visualViewport.scale}px`);
  scrollTo(0, 0);
});

show();
