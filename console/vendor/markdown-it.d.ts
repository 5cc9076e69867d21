export { default, type MarkdownIt, type Token } from "markdown-it";
