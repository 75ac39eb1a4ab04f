// Feedback forms: loads the form into the page of a study, shows fields of a point where they are wanted, and takes a
// point that the image viewer offers: document.dispatchEvent(new CustomEvent("vigil:point",
// { detail: { sop_instance_uid, frame, column, row } })).
"use strict";
(() => {
  const wants = (form) => form.querySelector("[data-place]").value === "point";

  // Without this script the fields are simply there.
  const show = (form) => { form.querySelector("[data-point]").hidden = !wants(form); };
  const dress = () => document.querySelectorAll("form.answer").forEach(show);

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form.answer");
    if (form && event.target.matches("[data-place]")) show(form);
    // A slice that is named by its number is another image than the one that was clicked on.
    if (form && event.target.name === "slice") form.elements.sop_instance_uid.value = "";
  });

  document.addEventListener("vigil:point", (event) => {
    let taken = 0;
    for (const form of [...document.querySelectorAll("form.answer")].filter(wants)) {
      for (const name of ["sop_instance_uid", "frame", "column", "row"]) {
        if (event.detail[name] !== undefined) form.elements[name].value = event.detail[name];
      }
      if (form.elements.slice) form.elements.slice.value = "";
      taken += 1;
    }
    if (taken) window.vigil.toast("The point was taken over into the feedback form.", "good");
  });

  document.addEventListener("vigil:swapped", dress);
  dress();
  const section = document.querySelector("#feedback[data-load]");
  if (section) window.vigil.swap("#feedback", section.dataset.load);
})();
