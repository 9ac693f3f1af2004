// The lab itself: two ways to walk over one landscape, and what can be changed.

(() => {
  const state = JSON.parse(JSON.stringify(LAB.start));
  const panes = ["first", "second"].map((key) => makePane(byId(key), key));
  let hills = null, map = null, view = -1, running = false, frame = 0, timer = 0;

  const buttons = Object.entries(LAB.presets).map(([name]) => {
    const button = make("button", { type: "button", textContent: LAB.stories[name].title });
    button.addEventListener("click", () => choose(name));
    button.dataset.name = name;
    button.setAttribute("aria-pressed", String(name === LAB.chosen));
    return button;
  });
  byId("stories").append(...buttons);
  for (const card of document.querySelectorAll("[data-story]")) {
    const button = make("button", { type: "button", textContent: "Watch it" });
    button.setAttribute("aria-label", "Watch " + LAB.stories[card.dataset.story].title);
    button.addEventListener("click", () => {
      choose(card.dataset.story);
      byId("lab").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
      byId("play").focus({ preventScroll: true });
    });
    card.append(button);
  }
  for (const part of document.querySelectorAll("[hidden]")) {
    if (part.id !== "tip") part.hidden = false;
  }
  for (const pane of panes) wire(pane);
  slider("layers", () => state.layers, (value) => { state.layers = value; });
  slider("temper", () => state.temper, (value) => { state.temper = value; });
  slider("loud", () => Math.log10(state.loud), (value) => { state.loud = +(10 ** value).toPrecision(3); },
    () => "× " + (+state.loud.toPrecision(2)));
  byId("seed").addEventListener("change", (event) => {
    state.seed = Math.min(Math.max(Math.round(+event.target.value) || 0, 0), 4294967295);
    changed();
  });
  byId("other").addEventListener("click", () => {
    state.seed = (state.seed + 1) % 4294967296;
    changed();
  });
  byId("view").addEventListener("change", (event) => {
    view = +event.target.value;
    map = sampleMap(hills, view);
    repaint();
  });
  byId("play").addEventListener("click", () => {
    if (finished()) restart();
    else if (running) pause();
    else play();
  });
  byId("step").addEventListener("click", () => {
    pause();
    advance(1);
    show();
    announce();
  });
  byId("again").addEventListener("click", restart);
  let wide = window.innerWidth;
  window.addEventListener("resize", () => {
    if (wide === window.innerWidth) return; // a phone's bars come and go
    wide = window.innerWidth;
    repaint();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  commonValleys(() => state);
  rebuild();

  function slider(name, get, set, shown = (value) => value) {
    const input = byId(name), output = byId(name + "-value");
    input.refresh = () => {
      input.value = get();
      output.textContent = shown(get());
    };
    input.addEventListener("input", () => {
      set(+input.value);
      output.textContent = shown(+input.value);
      later();
    });
  }

  function wire(pane) {
    const part = (name) => pane.element.querySelector("." + name);
    for (const [name, title] of Object.entries(LAB.rules)) part("rule").append(new Option(title, name));
    for (const name of Object.keys(OPTIMISERS)) part("optimiser").append(new Option(name, name));
    const settings = () => state[pane.key];
    const input = { rule: String, optimiser: String, step: (v) => +(10 ** +v).toPrecision(2), momentum: Number };
    for (const [name, read] of Object.entries(input)) {
      part(name).addEventListener(name === "rule" || name === "optimiser" ? "change" : "input", () => {
        settings()[name] = read(part(name).value);
        label(pane);
        later();
      });
    }
    pane.refresh = () => {
      part("rule").value = settings().rule;
      part("optimiser").value = settings().optimiser;
      part("step").value = Math.log10(settings().step);
      part("momentum").value = settings().momentum;
      label(pane);
    };
  }

  function label(pane) {
    const { rule, step, momentum, optimiser } = state[pane.key];
    const part = (name) => pane.element.querySelector("." + name);
    const more = (optimiser === "sgd" ? "" : ", " + optimiser) + (momentum && optimiser === "sgd" ? ", momentum " + momentum : "");
    part("name").textContent = `${LAB.rules[rule]}, step ${step}${more}`;
    part("step-value").textContent = step;
    part("momentum-value").textContent = momentum.toFixed(2);
    part("momentum").disabled = optimiser !== "sgd";
  }

  function choose(name) {
    Object.assign(state, JSON.parse(JSON.stringify(LAB.presets[name])));
    byId("line").textContent = LAB.stories[name].line;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.name === name));
    view = -1;
    rebuild();
  }

  // settings of one's own are no story any more
  function changed() {
    for (const button of buttons) button.setAttribute("aria-pressed", "false");
    rebuild();
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(changed, 140);
  }

  function rebuild() {
    hills = makeHills(state);
    for (const name of ["layers", "temper", "loud"]) byId(name).refresh();
    byId("seed").value = state.seed;
    view = Math.min(view, state.layers - 1);
    const options = [["the mean of all goals", -1]];
    for (let k = 0; k < state.layers; k++) options.push([`goal ${k + 1} alone`, k]);
    byId("view").replaceChildren(...options.map(([title, value]) => new Option(title, value)));
    byId("view").value = view;
    map = sampleMap(hills, view);
    for (const pane of panes) pane.refresh();
    byId("law-n").dispatchEvent(new Event("input"));
    restart();
  }

  function restart() {
    for (const pane of panes) pane.begin(hills, state[pane.key], state.seed);
    repaint();
    // who wants no motion sees where the walks end
    if (still.matches) finish();
    else play();
  }

  function repaint() {
    for (const pane of panes) pane.paint(map);
    show();
  }

  function show() {
    for (const pane of panes) {
      pane.draw();
      pane.tell();
    }
    byId("play").textContent = finished() ? "Replay" : running ? "Pause" : "Play";
  }

  function finished() {
    return panes[0].walks.time >= STEPS + SETTLE;
  }

  function advance(count) {
    for (let step = 0; step < count && !finished(); step++) for (const pane of panes) pane.walks.advance();
  }

  function play() {
    running = true;
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(tick);
    show();
  }

  function pause() {
    running = false;
    cancelAnimationFrame(frame);
    show();
  }

  function tick() {
    // slowly at first, when most is to be seen
    const time = panes[0].walks.time;
    advance(time < 40 ? 1 : time < 160 ? 2 : 4);
    if (finished()) {
      pause();
      announce();
      return;
    }
    show();
    frame = requestAnimationFrame(tick);
  }

  function finish() {
    running = false;
    cancelAnimationFrame(frame);
    const work = () => {
      advance(100);
      show();
      if (finished()) announce();
      else timer = setTimeout(work, 0);
    };
    work();
  }

  function announce() {
    byId("said").textContent = `Step ${panes[0].walks.time}. `
      + panes.map(({ element }) => `${element.querySelector(".name").textContent}: `
        + `${element.querySelector(".share").textContent} are in the shared valley.`).join(" ");
  }
})();
