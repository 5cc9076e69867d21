// The content types and their names. Written by `make openapi`.

export const TYPES = /** @type {const} */ (["tutorial", "resources", "quiz"]);

export const NAMES = {"en": {"one": {"tutorial": "tutorial", "resources": "resource list", "quiz": "quiz"}, "many": {"tutorial": "Tutorials", "resources": "Resource lists", "quiz": "Quizzes"}, "letter": {"tutorial": "T", "resources": "R", "quiz": "Q"}}, "zh": {"one": {"tutorial": "教程", "resources": "资源", "quiz": "测验"}, "many": {"tutorial": "教程", "resources": "资源", "quiz": "测验"}, "letter": {"tutorial": "教", "resources": "资", "quiz": "测"}}};
