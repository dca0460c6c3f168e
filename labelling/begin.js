// Put the page together.

function listen() {
  const click = {
    undo: () => undo(), redo: () => undo("redo", "undo"), help: () => find("card").showModal(), play: toggle,
    back: () => toFrame(playhead.frame - 1), on: () => toFrame(playhead.frame + 1), in: () => zoom(1 / ZOOM),
    out: () => zoom(ZOOM), inpoint: setIn, outpoint: setOut, whole: showAll, more: () => askClass(), teach, acceptall: () => accept(video.ghosts),
  };
  for (const [id, act] of Object.entries(click)) find(id).addEventListener("click", act);
  find("speed").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
  find("order").addEventListener("change", changed);
  find("filter").addEventListener("input", (event) => {
    filter = event.target.value.toLowerCase();
    changed();
  });
  find("threshold").addEventListener("input", (event) => {
    threshold = Number(event.target.value);
    settle();
    changed();
  });
  find("videos").addEventListener("scroll", drawVideos);
  find("actions").addEventListener("scroll", drawActions);
  for (const name of ["suggested", "labelled"]) {
    const band = find(name);
    band.addEventListener("pointerdown", onDown);
    band.addEventListener("pointermove", onMove);
    band.addEventListener("pointerup", onUp);
    band.addEventListener("pointercancel", cancelDrag);
    band.addEventListener("dblclick", () => playSegment(selected));
  }
  find("axis").addEventListener("pointerdown", (event) => video && seek(pointerTime(event)));
  for (const kind of ["pointerdown", "pointermove"]) {
    find("overview").addEventListener(kind, (event) => video && dragOverview(event));
  }
  find("timeline").addEventListener("wheel", onWheel, { passive: false });
  find("theme").addEventListener("click", schedule);
  addEventListener("resize", changed);
  addEventListener("visibilitychange", () => document.hidden || look());
  document.addEventListener("keydown", onKey, true);
}

async function begin() {
  buildTheme();
  buildCard();
  listen();
  onChange.push(drawTop, drawVideos, drawClasses, drawGhosts, drawActions, drawTeaching, drawControls, schedule);
  try {
    take(await ask("state"));
  } catch (error) {
    notify(error.message);
    return;
  }
  if (matchMedia("(max-width: 760px)").matches) find("list").open = false;
  if (!state.ordered) find("order").value = "open";
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = state.videos.find(({ id }) => id === asked) || ordered()[0];
  await openVideo(first.id);
  lookAgain();
}

begin();
