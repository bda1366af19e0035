// The vendored libraries, which bring no types in the form in which a page includes them.
declare const d3: any;
declare const Plot: any;
