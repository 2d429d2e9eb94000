// Keeps the room linkable until its first source file.
namespace flatimg {}
